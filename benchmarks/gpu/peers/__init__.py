"""Others' rotations for the GPU benchmark, each where it is installed or was brought along.

adapters.py calls them as their users do; built.py loads those that are compiled here, of
flashinfer.cu and sglang.cu. Their code is in third_party/peers/, which git ignores, and bring.py
puts it there.
"""
