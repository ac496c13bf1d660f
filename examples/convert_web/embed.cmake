# cmake -DTABLE=name -DOUT=file -DFILES="a;b" -P embed.cmake
# Writes a .cc with the bytes of the files as the table `name` of embedded.h.
set(arrays "")
set(rows "")
set(number 0)
foreach(file IN LISTS FILES)
  file(READ "${file}" bytes HEX)
  string(REGEX REPLACE "(................................)" "\\1\n" bytes "${bytes}")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "'\\\\x\\1'," bytes "${bytes}")
  get_filename_component(name "${file}" NAME)
  string(APPEND arrays "constexpr char k${number}[] = {\n${bytes}};\n")
  string(APPEND rows "    {\"${name}\", std::string_view(k${number}, sizeof k${number})},\n")
  math(EXPR number "${number} + 1")
endforeach()
file(WRITE "${OUT}" "#include \"embedded.h\"

namespace convert_web {
namespace {
${arrays}
constexpr Embedded kFiles[] = {
${rows}};
}  // namespace

std::span<const Embedded> ${TABLE}() { return kFiles; }

}  // namespace convert_web
")
