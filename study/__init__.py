"""The article's claims, measured: python -m study from the checkout's root; never installed."""
