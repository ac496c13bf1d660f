// The files of a sandbox's folder that are part of a job's result, and those of a job's
// arguments that go there.
#pragma once

#include <carrel/result.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace carrel::process {

// `socket`: where the sandbox sent a descriptor of its folder. The files that are there,
// as the text of a JSON object: name → text, or → {"base64": …} where it is no UTF-8.
// kTooLarge: more than `limit` bytes; kFailed: one is no plain file of the folder (a
// link, a pipe, a device). The program may have made anything of that folder.
Result<std::string> collect_files(int socket, const std::vector<std::string>& names,
                                  std::uint64_t limit);

// The member `member` of the arguments `payload`: an object of name → text or
// {"base64": …}; absent: none. kInvalid names what is wrong, and any name that could lead
// out of the folder.
Result<std::vector<std::pair<std::string, std::string>>> files_of_arguments(
    std::string_view payload, const std::string& member);

// Without an empty part, "." or "..", and not absolute.
bool stays_inside(std::string_view name) noexcept;

}  // namespace carrel::process
