"""What every program needs: files, images, label maps, processes, the command line."""
