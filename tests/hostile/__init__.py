"""Broken and hostile answers as data, and the one test that plays them."""
