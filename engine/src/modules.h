// Shared libraries that add backends and isolations: where they are, how they are loaded.
#pragma once

#include <carrel/registry.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace carrel {

// The file that ships the backend of a URL scheme, "libcarrel_sql.so"; empty: none does.
std::string_view module_for(std::string_view scheme) noexcept;
std::vector<std::string> module_schemes();

// Where modules are looked for, in this order, each once: the folders in
// CARREL_MODULE_PATH (joined by ':'; not read in a set-user-id program), the folder of
// the running program, lib/carrel in it and beside it, the program's RUNPATH (so programs
// of a build tree find what was built with them), the installed folder.
std::vector<std::filesystem::path> module_folders();

// The first of these folders that has `file`, which ships `scheme`. kUnsupported: none
// has; names all.
Result<std::filesystem::path> find_module(std::string_view file, std::string_view scheme);

// Loads `library` and lets its carrel_plugin add to `registry`. A loaded library stays
// for the life of the process: objects made by it have their code there. Nothing a plugin
// throws gets out. kNotFound: no such file. kUnsupported: it is no plugin, or one for
// another version. kInternal: its carrel_plugin failed.
Result<void> load_plugin(const std::filesystem::path& library, Registry& registry);

}  // namespace carrel
