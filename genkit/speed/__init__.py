"""Faster forms of what torch does already, each with a fallback; README.md here lists them.

All use of private names of torch is in this package. Internal: it may change with any version of torch.
"""
