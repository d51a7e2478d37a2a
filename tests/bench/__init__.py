"""`manage.py bench` measures Holdfast under realistic use on this machine, in one run.

Real parts: `manage.py up` (tests/stack.py), a scripted model in a process of its own
(tests/fake_model.py) and, in the bench's own process, a client that costs as little CPU as Python
allows. The model writes the time of sending into each token. A latency is the time from then to the
arrival of the frame at the client; both processes read the same clock. All traffic stays on the
loopback interface.
"""
