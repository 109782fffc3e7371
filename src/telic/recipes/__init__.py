"""Ready-made programs, and recipes that compile them on data of your own."""

from telic.recipes import programs as programs
