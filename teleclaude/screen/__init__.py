"""Terminal screens as data: escape sequences, styled rows and pictures. Pure, apart from reading font files."""
