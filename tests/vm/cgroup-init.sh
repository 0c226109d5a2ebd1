#!/bin/busybox sh
# The first process of the virtual machine of cgroup.sh. Says `ok …` or `FAILED …` a check, at the end `all is well`.
/bin/busybox --install -s /bin
export PATH=/bin HOME=/tmp
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
mount -t tmpfs none /tmp
chmod 1777 /tmp
mount -t cgroup2 none /sys/fs/cgroup
tree=/sys/fs/cgroup
failed=0

ok() { echo "ok $1"; }
bad() {
    failed=1
    echo "FAILED $1"
    sed 's/^/    /' /tmp/out
}
# says NAME WHAT…: the last run has said all of it.
says() {
    name=$1
    shift
    for text in "$@"; do
        grep -qF -- "$text" /tmp/out || { bad "$name: no \"$text\""; return; }
    done
    ok "$name"
}
# nothing_left NAME: no cgroup of a run and no process of one.
nothing_left() {
    for i in $(seq 100); do
        [ -z "$(find $tree -name 'bgjobs-*')" ] && [ -z "$(pidof bgjobs sleep)" ] && { ok "$1: nothing is left"; return; }
        sleep 0.1
    done
    { find $tree -name 'bgjobs-*'; ps; } >>/tmp/out
    bad "$1: something is left"
}
run() { bgjobs script --grace 300ms "$@" >/tmp/out 2>&1; }

# ---- root, in the root ------------------------------------------------------------------------------------------
cat >/tmp/hog.rhai <<'R'
let hog = spawn("hog", "sleep 600 & dd if=/dev/zero of=/dev/null bs=200M count=1; sleep 600", #{max_memory: "64MB"});
hog.wait_log("never");
R
run /tmp/hog.rhai
says "an OOM kill is told as one" "+" "hog died (killed by the kernel: out of memory (max_memory 64 MB))" \
    "error: job \`hog\` was killed by the kernel: out of memory (max_memory 64 MB) while waiting" "(exit 125)" "0 leaked"
nothing_left "after an OOM kill"

run -e 'run("dd if=/dev/zero of=/dev/null bs=200M count=1", #{max_memory: "64MiB"});'
says "an OOM kill of a command is told as one" \
    "was killed by the kernel: out of memory (max_memory 64 MiB)" "(exit 137)"

cat >/tmp/forks.rhai <<'R'
let job = spawn("forks", "for i in 1 2 3 4 5 6 7 8; do sleep 600 & done; wait", #{max_procs: 5});
wait_until(|| !job.running, "10s");
R
run /tmp/forks.rhai
says "no more than max_procs" "it could not start a process or thread (max_procs 5)"
nothing_left "after too many forks"

cat >/tmp/both.rhai <<'R'
let a = spawn("sleep 600", #{max_memory: "64MB", max_procs: 10});
let b = spawn("sleep 600");
let place = |job| replace_re(read_file(`/proc/${job.pid}/cgroup`), "\\s", "");
print(`a ${place.call(a)} b ${place.call(b)}`);
let dir = "/sys/fs/cgroup" + trim(place.call(a)).replace("0::", "");
let limit = |name| trim(read_file(`${dir}/${name}`));
print(`max ${limit.call("memory.max")} procs ${limit.call("pids.max")} group ${limit.call("memory.oom.group")}`);
a.restart();
print(`again ${place.call(a)}`);
R
for off in none clone3 cgroup.kill; do
    BGJOBS_TEST_OFF=$off run /tmp/both.rhai
    says "a job with limits and one without ($off)" "/job-1 b 0::/bgjobs-" "/jobs" "max 64000000" "procs 10 group 1" \
        "/job-2" "passed" "0 leaked"
    nothing_left "after both ($off)"
done

cat >/tmp/ever.rhai <<'R'
spawn("trap '' TERM; sleep 600; :", #{max_memory: "64MB"});
spawn("sleep 600");
write_file("/tmp/up", "");
loop { sleep(0.01); }
R
# killed NAME WHO: SIGKILL to guard or host of the run that goes on for ever; `start` starts it.
killed() {
    rm -f /tmp/up
    start >/tmp/out 2>&1 &
    starter=$!
    for i in $(seq 300); do [ -e /tmp/up ] && break; sleep 0.1; done
    guard=$(for pid in $(pidof bgjobs); do
        parent=$(sed -n 's/^PPid:\t//p' /proc/$pid/status)
        [ "$(cat /proc/$parent/comm)" = bgjobs ] && echo $parent
    done)
    case $2 in
    guard) kill -9 $guard ;;
    host) kill -9 $(pidof bgjobs | sed "s/\b$guard\b//") ;;
    esac
    wait $starter
    nothing_left "$1: SIGKILL of the $2"
}
start() { bgjobs script --grace 300ms /tmp/ever.rhai; }
killed "as root" guard
killed "as root" host

cat >/tmp/outer.rhai <<'R'
run(["bgjobs", "script", "/tmp/both.rhai"]);
R
run /tmp/outer.rhai
says "limits in a run inside of a run" "/job-1 b 0::/bgjobs-" "procs 10" "(exit 0" "passed"
nothing_left "after a run inside of a run"

run --isolate pid /tmp/both.rhai
says "limits in a PID namespace" "/job-1 b 0::/bgjobs-" "procs 10" "passed" "0 leaked"
nothing_left "after a PID namespace"

# ---- an ordinary user ---------------------------------------------------------------------------------------------
as_user() { su -s /bin/sh user -c "cd /; exec $1"; }
cp /tmp/both.rhai /tmp/ever.rhai /tmp/hog.rhai /
as_user "bgjobs script /hog.rhai" >/tmp/out 2>&1
says "a user without a subtree is told why" "the limit cannot be enforced: there is no cgroup for this run: /sys/fs/cgroup is not \
delegated to this user" "delegated to bgjobs alone"

echo "+memory +pids" >$tree/cgroup.subtree_control
mkdir $tree/delegated
for file in $tree/delegated $tree/delegated/cgroup.procs $tree/delegated/cgroup.subtree_control; do chown user $file; done
# in_subtree COMMAND: alone there, as under `systemd-run --user --scope -p Delegate=yes`.
in_subtree() { sh -c "echo 0 >$tree/delegated/cgroup.procs; exec su -s /bin/sh user -c 'cd /; exec $1'"; }

for off in none clone3 cgroup.kill; do
    in_subtree "env BGJOBS_TEST_OFF=$off bgjobs script --grace 300ms /both.rhai" >/tmp/out 2>&1
    says "a user alone in a subtree has limits ($off)" "a 0::/delegated/bgjobs-" "/job-1 b 0::/delegated/bgjobs-" "procs 10" \
        "passed" "0 leaked"
    nothing_left "after a user alone ($off)"
    [ -z "$(cat $tree/delegated/cgroup.subtree_control)" ] && ok "the subtree is as it was" || bad "controllers are left"
done
in_subtree "bgjobs script --grace 300ms /hog.rhai" >/tmp/out 2>&1
says "an OOM kill in a subtree is told as one" "out of memory (max_memory 64 MB) while waiting"
rm -f /tmp/up
start() { in_subtree "bgjobs script --grace 300ms /ever.rhai"; }
killed "as a user alone" guard
killed "as a user alone" host

sh -c "echo 0 >$tree/delegated/cgroup.procs; su -s /bin/sh user -c 'cd /; bgjobs script /hog.rhai'; :" >/tmp/out 2>&1
says "beside a shell the way out is said" "the controller \`memory\` cannot be enabled in /sys/fs/cgroup/delegated, which other \
processes are in" "delegated to bgjobs alone"
nothing_left "beside a shell"

mount -o remount,ro $tree
run -e 'print(output("cat /proc/self/cgroup"));'
says "where the tree is read-only the run does without" "0::/" "passed"
[ $failed = 0 ] && echo "all is well"
poweroff -f
