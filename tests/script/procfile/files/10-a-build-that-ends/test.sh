#@ exit: 125
#@ stderr: job `assets` ended (exit 0) while waiting for a listening port, or 1 s of life
#@ stderr: try: --task assets   (if it is to end before the others start)
echo not reached
