"""What is done to a request, as generators that yield calls and waits; see `call.py` for who yields what."""
