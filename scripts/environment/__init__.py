"""What scripts/setup.py, scripts/test.py and the gates are made of; standard library only."""
