"""`manage.py bench`: Holdfast measured as it is used, in one run, on this machine.

Real parts: `manage.py up` (tests/stack.py), a scripted model in a process of its own
(tests/fake_model.py) and, in the bench's process, a client that is as cheap as Python allows. The
model writes the moment of sending into each token; all latencies are from there to the arrival of
the frame at the client, on one clock. Everything stays on the loopback.
"""
