"""Looking at finished runs. Reads workdirs; needs no accelerator."""
