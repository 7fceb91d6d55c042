// Compiled, linked and run by `cargo xtask setup`: prints the version of the headers and calls the library.
#include <torch/headeronly/version.h>

#include <cstdio>
#include <optional>

namespace at {
int get_num_threads();
}

int main() {
    std::optional<int> threads = at::get_num_threads();
    if (*threads < 1) {
        return 1;
    }
    std::printf("%d.%d.%d\n", TORCH_VERSION_MAJOR, TORCH_VERSION_MINOR, TORCH_VERSION_PATCH);
    return 0;
}
