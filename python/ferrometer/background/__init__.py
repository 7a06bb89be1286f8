"""What runs by itself: collectors, their schedule and their results."""
