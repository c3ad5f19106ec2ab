"""The ground beside what users import: locks, warnings, and what errors may say of a value.

Stands on nothing of ours but `exceptions`.
"""
