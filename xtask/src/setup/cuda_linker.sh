#!/bin/sh
# Links as `cc` does, but keeps libtorch_cuda in each program that uses libtorch: nothing calls that library
# directly, so a linker would leave it out, and libtorch would find no GPU.
for word in "$@"; do
    case $word in
    -ltorch_cpu) found=1 ;;
    @*) if grep -q -e '-ltorch_cpu' "${word#@}"; then found=1; fi ;;
    esac
done
if [ "${found:-}" ]; then
    set -- "$@" -Wl,--no-as-needed -ltorch_cuda
fi
exec cc "$@"
