exec yes "all your disk"
