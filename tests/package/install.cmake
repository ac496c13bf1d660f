# Installs BUILD to PREFIX, which it empties first.
file(REMOVE_RECURSE ${PREFIX})
execute_process(COMMAND ${CMAKE_COMMAND} --install ${BUILD} --prefix ${PREFIX}
                OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)

# Nothing that is installed knows where it was built; what debuggers read is left aside.
find_program(OBJCOPY objcopy REQUIRED)
file(GLOB_RECURSE files ${PREFIX}/lib*/*.a ${PREFIX}/lib*/*.so ${PREFIX}/bin/*)
foreach(file ${files})
  execute_process(COMMAND ${OBJCOPY} --strip-debug ${file} ${PREFIX}/stripped
                  COMMAND_ERROR_IS_FATAL ANY)
  foreach(place ${BUILD} ${SOURCE})
    string(REGEX REPLACE "([.+*?^$()|[])" "\\\\\\1" pattern ${place})
    file(STRINGS ${PREFIX}/stripped found REGEX ${pattern} LIMIT_COUNT 1)
    if(found)
      message(SEND_ERROR "${file} names ${place}: ${found}")
    endif()
  endforeach()
endforeach()
file(REMOVE ${PREFIX}/stripped)
if(NOT files)
  message(SEND_ERROR "nothing was installed to ${PREFIX}")
endif()
