"""Python sessions as the service offers them: their life, their cells, their variables."""
