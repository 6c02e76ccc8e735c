"""What stands between HTTP and a service's controllers."""
