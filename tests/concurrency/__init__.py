"""What must hold under cancellation, crashes, slow readers and storms."""
