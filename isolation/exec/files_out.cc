#include "files_out.h"

#include <carrel/types.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>

#include "base64.h"
#include "frame.h"
#include "json_text.h"
#include "os.h"

namespace carrel::process {
namespace {

// No link on the way, not out of the folder, not across a mount.
UniqueFd open_inside(int folder, const std::string& name) {
  open_how how{};
  how.flags = O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;
  return UniqueFd(
      static_cast<int>(syscall(SYS_openat2, folder, name.c_str(), &how, sizeof how)));
}

tl::unexpected<Error> refused(const std::string& name, const std::string& why,
                              int error = 0) {
  return fail(Code::kFailed, "the file \"" + name + "\" of its folder " + why, "exec",
              error);
}

tl::unexpected<Error> too_large(std::uint64_t limit) {
  return fail(Code::kTooLarge,
              "its output and files have more than the limit; " + std::to_string(limit) +
                  " bytes were left for files",
              "exec");
}

std::size_t longest_part(std::string_view name) {
  std::size_t longest = 0;
  for (std::size_t begin = 0; begin <= name.size();) {
    const auto end = std::min(name.find('/', begin), name.size());
    longest = std::max(longest, end - begin);
    begin = end + 1;
  }
  return longest;
}

}  // namespace

bool stays_inside(std::string_view name) noexcept {
  while (true) {
    const auto slash = name.find('/');
    const auto part = name.substr(0, slash);
    if (part.empty() || part == "." || part == "..") return false;
    if (part.find('\0') != std::string_view::npos) return false;
    if (slash == std::string_view::npos) return true;
    name.remove_prefix(slash + 1);
  }
}

Result<std::string> collect_files(int socket, const std::vector<std::string>& names,
                                  std::uint64_t limit) {
  std::array<char, 16> word{};
  Received received;
  receive_message(socket, word, received);
  if (received.size <= 0 || received.fd_count != 1) {
    return fail(Code::kFailed, "the folder of the sandbox did not come", "exec");
  }
  const UniqueFd folder(received.fds[0]);
  Json files = Json::object();
  std::uint64_t left = limit;
  for (const auto& name : names) {
    const UniqueFd file = open_inside(folder.get(), name);
    if (!file && errno == ENOENT) continue;
    if (!file) return refused(name, "is refused: " + errno_text(errno), errno);
    struct stat info {};
    if (fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
      return refused(name, "is no plain file");
    }
    if (static_cast<std::uint64_t>(info.st_size) > left) return too_large(limit);
    std::string bytes;
    if (!read_memory_file(file.get(), bytes)) return refused(name, "cannot be read");
    left -= bytes.size();
    files[name] = bytes_as_json(std::move(bytes));
  }
  std::string text = files.dump();
  if (text.size() > limit + 2) return too_large(limit);  // as JSON it may have grown
  return text;
}

Result<std::vector<std::pair<std::string, std::string>>> files_of_arguments(
    std::string_view payload, const std::string& member) {
  std::vector<std::pair<std::string, std::string>> out;
  const Json arguments = json_from_text(payload);
  if (!arguments.is_object()) return out;
  const auto files = arguments.find(member);
  if (files == arguments.end() || files->is_null()) return out;
  const auto wrong = [&](const std::string& what) {
    return fail(Code::kInvalid, "the argument \"" + member + "\" " + what, "exec");
  };
  if (!files->is_object()) return wrong("must be an object of file names and their text");
  for (const auto& [name, value] : files->items()) {
    if (!stays_inside(name)) {
      return wrong("has a file name that leads out of its folder: \"" + name + "\"");
    }
    if (name.size() >= PATH_MAX || longest_part(name) > NAME_MAX) {
      return wrong("has a file name that is too long: \"" +
                   std::string(cut_text(name, 100)) + "…\"");
    }
    for (auto slash = name.find('/'); slash != std::string::npos;
         slash = name.find('/', slash + 1)) {
      if (files->contains(name.substr(0, slash))) {
        return wrong("has \"" + name.substr(0, slash) +
                     "\" both as a file and as a folder");
      }
    }
    if (value.is_string()) {
      out.emplace_back(name, value.get<std::string>());
      continue;
    }
    const auto coded = value.is_object() ? value.value("base64", Json()) : Json();
    auto bytes = coded.is_string() ? from_base64(coded.get_ref<const std::string&>())
                                   : std::nullopt;
    if (!bytes && coded.is_string()) {
      return wrong("has what is no base64 for \"" + name + "\"");
    }
    if (!bytes) return wrong("has neither text nor {\"base64\": …} for \"" + name + "\"");
    out.emplace_back(name, std::move(*bytes));
  }
  return out;
}

}  // namespace carrel::process
