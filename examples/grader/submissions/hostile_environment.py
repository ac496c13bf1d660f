# What the grader's own environment holds: the password of its database.
import os

print(dict(os.environ))
