"""The rules of docs/design.md as figures: sizes, parameters and names, counted from the source."""
