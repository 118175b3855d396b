#!/bin/bash
# Builds the library with the compilers that are found on PATH, and puts the Python module beside it.
set -eu

# The Python module looks for the library in its own directory.
module="$PREFIX/lib/python$PYTHON_VERSION/site-packages/vectors"
mkdir -p "$module"

if [ "$CUDA" = "None" ]; then
    cc -O2 -shared -fPIC vectors.c -o "$module/libvectors.so"
else
    targets=()
    for word in ${ARCHITECTURES//;/ }; do
        number=${word%%-*}
        case $word in
            *-real) code="sm_$number" ;;
            *-virtual) code="compute_$number" ;;
            *) code="[sm_$number,compute_$number]" ;;
        esac
        targets+=(-gencode "arch=compute_$number,code=$code")
    done
    # nvcc links its own runtime in, so the package needs no CUDA library.
    nvcc -O2 -shared -Xcompiler -fPIC "${targets[@]}" vectors.cu -o "$module/libvectors.so"
fi
cp vectors/__init__.py "$module/"
