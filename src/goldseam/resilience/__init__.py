"""Small mechanisms used everywhere: time and ids as parameters, coroutines without a loop."""
