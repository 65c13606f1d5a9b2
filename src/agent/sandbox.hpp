// sandbox - what this process gives up before it opens the network: new privileges, other processes, files
// outside the folders it was given, and every system call that it does not need.
//
// Where the kernel lacks Landlock or seccomp the rest still holds, and the result says what is in force.
// Thread: main, before any other exists.
#pragma once

#include <string>
#include <vector>

namespace agent
{

// Before the first line is read: dies with the parent, leaves no core, cannot gain privileges.
void sandbox_early();

// Returns the names of what is really in force: "landlock", "seccomp".
std::vector<std::string> sandbox_enter(const std::vector<std::string> &dirs);

} // namespace agent
