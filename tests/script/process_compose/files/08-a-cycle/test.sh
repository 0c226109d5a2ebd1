#@ exit: 2
#@ stderr: processes depend on each other in a circle: `api` → `db` → `web` → `api`
#@ stderr: process-compose.yaml:4:18
echo not reached
