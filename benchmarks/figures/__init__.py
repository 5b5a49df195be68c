"""`make figures`: README's tables and the plots in docs/figures, made of the newest results.

results.py reads the files of both benchmarks as one kind of thing; plots.py draws; readme.py writes
the tables; __main__.py does it all. The same results make the same bytes.
"""
