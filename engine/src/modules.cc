// Boost.DLL would otherwise ask for the compiled Boost.Filesystem.
#define BOOST_DLL_USE_STD_FS
#include "modules.h"

#include <carrel/plugin.h>
#include <link.h>
#include <sys/auxv.h>

#include <algorithm>
#include <array>
#include <boost/dll/shared_library.hpp>
#include <cstdlib>
#include <exception>
#include <mutex>

#include "wording.h"

namespace carrel {
namespace {

namespace fs = std::filesystem;

struct Module {
  std::string_view scheme;
  std::string_view file;
};
constexpr std::array<Module, 7> kModules{{
    {"sqlite", "libcarrel_sql.so"},
    {"postgresql", "libcarrel_sql.so"},
    {"postgres", "libcarrel_sql.so"},
    {"mariadb", "libcarrel_sql.so"},
    {"mysql", "libcarrel_sql.so"},
    {"zmq+tcp", "libcarrel_zmq.so"},
    {"zmq+ipc", "libcarrel_zmq.so"},
}};

// Never destroyed: a static destructor would unload code that other statics still need.
void keep_for_ever(boost::dll::shared_library library) {
  static auto* mutex = new std::mutex;
  static auto* kept = new std::vector<boost::dll::shared_library>;
  const std::lock_guard lock(*mutex);
  kept->push_back(std::move(library));
}

tl::unexpected<Error> bad(const fs::path& library, Code code, std::string_view why) {
  std::string message = "plugin " + library.string() + ": ";
  return fail(code, message.append(why), "registry");
}

// Boost.DLL wraps what the dynamic loader said in words of its own.
std::string loader_message(std::string_view what) {
  constexpr std::string_view kBegin = "dlerror system message: ";
  const std::size_t begin = what.find(kBegin);
  const std::size_t end = what.rfind("): ");
  if (begin == std::string_view::npos || end == std::string_view::npos || end < begin) {
    return std::string(what);
  }
  return std::string(what.substr(begin + kBegin.size(), end - begin - kBegin.size()));
}

// What the running program was linked to look for libraries in: DT_RUNPATH, or DT_RPATH,
// as its host's linker has it. A program of a build tree finds the modules that were
// built beside it so, and an installed one what its host said.
std::string_view program_runpath() {
  std::string_view found;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* out) {
        const ElfW(Dyn)* entry = nullptr;
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          const ElfW(Phdr)& header = info->dlpi_phdr[i];
          if (header.p_type != PT_DYNAMIC) continue;
          entry = reinterpret_cast<const ElfW(Dyn)*>(info->dlpi_addr + header.p_vaddr);
        }
        ElfW(Addr) strings = 0;
        ElfW(Xword) at = 0;
        ElfW(Xword) older = 0;
        for (; entry != nullptr && entry->d_tag != DT_NULL; ++entry) {
          if (entry->d_tag == DT_STRTAB) strings = entry->d_un.d_ptr;
          if (entry->d_tag == DT_RUNPATH) at = entry->d_un.d_val;
          if (entry->d_tag == DT_RPATH) older = entry->d_un.d_val;
        }
        if (at == 0) at = older;
        if (strings != 0 && at != 0) {
          // The loader has added the address already, but on some architectures.
          if (strings < info->dlpi_addr) strings += info->dlpi_addr;
          *static_cast<std::string_view*>(out) =
              reinterpret_cast<const char*>(strings + at);
        }
        return 1;  // the first is the program: enough
      },
      &found);
  return found;
}

template <class F>
void for_each_folder(std::string_view joined, F f) {
  while (!joined.empty()) {
    const std::size_t end = std::min(joined.find(':'), joined.size());
    if (end > 0) f(std::string(joined.substr(0, end)));
    joined.remove_prefix(std::min(end + 1, joined.size()));
  }
}

}  // namespace

std::string_view module_for(std::string_view scheme) noexcept {
  for (const Module& module : kModules) {
    if (module.scheme == scheme) return module.file;
  }
  return {};
}

std::vector<std::string> module_schemes() {
  std::vector<std::string> schemes;
  for (const Module& module : kModules) schemes.emplace_back(module.scheme);
  return schemes;
}

std::vector<fs::path> module_folders() {
  std::vector<fs::path> folders;
  const auto add = [&](const fs::path& folder) {
    const fs::path clean = folder.lexically_normal();
    if (std::find(folders.begin(), folders.end(), clean) == folders.end()) {
      folders.push_back(clean);
    }
  };
  if (const char* path = secure_getenv("CARREL_MODULE_PATH")) {
    for_each_folder(path, add);
  }
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  if (!error) {
    const fs::path folder = program.parent_path();
    add(folder);
    add(folder / "lib/carrel");
    add(folder.parent_path() / "lib/carrel");
    add(folder.parent_path() / CARREL_MODULE_SUBDIR);
  }
  for_each_folder(program_runpath(), [&](std::string folder) {
    constexpr std::string_view kOrigin = "$ORIGIN";
    if (folder.starts_with(kOrigin)) {
      if (error || getauxval(AT_SECURE) != 0) return;  // as the loader does
      folder.replace(0, kOrigin.size(), program.parent_path().string());
    }
    if (fs::path(folder).is_absolute()) add(folder);
  });
  add(CARREL_INSTALLED_MODULES);
  return folders;
}

Result<fs::path> find_module(std::string_view file, std::string_view scheme) {
  std::string tried;
  for (const auto& folder : module_folders()) {
    auto path = folder / file;
    std::error_code ignored;
    if (fs::exists(path, ignored)) return path;
    tried += (tried.empty() ? "" : ", ") + path.string();
  }
  return fail(Code::kUnsupported,
              quote(scheme) + " needs the module " + std::string(file) +
                  ", which is in none of: " + tried +
                  ". Install it, or name its folder in CARREL_MODULE_PATH",
              "registry");
}

Result<void> load_plugin(const fs::path& library, Registry& registry) {
  std::error_code error;
  if (!fs::exists(library, error)) {
    return bad(library, Code::kNotFound, "there is no such file");
  }
  // A path without a '/' would be searched for by the dynamic loader.
  const fs::path path = fs::absolute(library, error);
  boost::dll::shared_library handle;
  try {
    handle.load(path,
                boost::dll::load_mode::rtld_now | boost::dll::load_mode::rtld_local);
  } catch (const std::exception& e) {
    return bad(library, Code::kUnsupported, loader_message(e.what()));
  }
  try {
    if (!handle.has("carrel_plugin")) {
      return bad(library, Code::kUnsupported,
                 "it is no plugin of carrel (it has no carrel_plugin)");
    }
    const auto entry = handle.get<int(unsigned, Registry*)>("carrel_plugin");
    keep_for_ever(handle);
    const int answer = entry(CARREL_PLUGIN_ABI, &registry);
    if (answer != 0) {
      return bad(library, Code::kUnsupported,
                 "it was built for plugin version " + std::to_string(answer) +
                     ", this program has version " + std::to_string(CARREL_PLUGIN_ABI));
    }
  } catch (const std::exception& e) {
    return bad(library, Code::kInternal, std::string("carrel_plugin threw: ") + e.what());
  } catch (...) {
    return bad(library, Code::kInternal, "carrel_plugin threw");
  }
  return {};
}

}  // namespace carrel
