"""The sequential test: evidence that may be looked at after every tick, and rarely blames a healthy candidate.

`process` and its parts are numpy only, batched over metrics and runs; `dossier` keeps them for one check of one
candidate, and `judge` speaks for it. Nothing is imported here: who only reads files or verdicts does not wait for
numpy.
"""
