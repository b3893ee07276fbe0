"""Files inside ZIP and RAR archives, nested ones too."""
