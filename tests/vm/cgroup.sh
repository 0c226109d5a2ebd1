#!/bin/sh
# Limits and cgroups where version 2 has all controllers: boots a small virtual machine whose first process is
# cgroup-init.sh, prints what that says, and ends with 0 when it is content, with 77 when something is missing here.
#
#     tests/vm/cgroup.sh PATH-TO-BGJOBS
#
# It takes half a minute, several times that on a busy machine: without KVM, which few test machines have.
#
# Needs qemu-system-x86_64, a kernel in /boot that has what it needs built in (Debian's linux-image-cloud-amd64), cpio and
# a static busybox.
set -eu
bgjobs=$1
here=$(cd "$(dirname "$0")" && pwd)
missing() { echo "missing: $1"; exit 77; }
for tool in qemu-system-x86_64 busybox cpio strip; do
    command -v "$tool" >/dev/null || missing "$tool"
done
if ldd "$(command -v busybox)" >/dev/null 2>&1; then missing "a static busybox"; fi
kernel=$(ls /boot/vmlinuz-*-cloud-amd64 2>/dev/null | tail -n 1)
[ -r "${kernel:-}" ] || missing "a kernel (/boot/vmlinuz-*-cloud-amd64)"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
mkdir -p "$root/bin" "$root/proc" "$root/sys" "$root/dev" "$root/tmp" "$root/etc"
cp "$(command -v busybox)" "$root/bin/busybox"
strip -o "$root/bin/bgjobs" "$bgjobs"
for library in $(ldd "$bgjobs" | grep -o '/[^ ]*'); do
    mkdir -p "$root$(dirname "$library")"
    cp -L "$library" "$root$library"
done
cp "$here/cgroup-init.sh" "$root/init"
chmod 755 "$root/init" "$root/bin/bgjobs"
printf 'root:x:0:0::/tmp:/bin/sh\nuser:x:1000:1000::/tmp:/bin/sh\n' >"$root/etc/passwd"
printf 'root:x:0:\nuser:x:1000:\n' >"$root/etc/group"
(cd "$root" && find . | cpio -o -H newc --quiet) >"$work/initrd"

timeout 300 qemu-system-x86_64 -accel tcg -m 512 -smp 2 -nographic -no-reboot -nic none \
    -kernel "$kernel" -initrd "$work/initrd" \
    -append "console=ttyS0 quiet panic=-1 cgroup_no_v1=all" </dev/null | tr -d '\r' | tee "$work/out" |
    grep -aE '^(ok|FAILED|   |all is well)' || true
grep -aq '^all is well' "$work/out" || { tail -n 40 "$work/out"; exit 1; }
