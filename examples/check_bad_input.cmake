# cmake -DPROGRAM=… "-DCALLS=--one option;--another" -P check_bad_input.cmake: each of these
# calls must end at once with exit code 2, and say why.
foreach(call ${CALLS})
  separate_arguments(options UNIX_COMMAND "${call}")
  execute_process(COMMAND ${PROGRAM} ${options} RESULT_VARIABLE code OUTPUT_VARIABLE out
                  ERROR_VARIABLE error TIMEOUT 10)
  if(NOT code EQUAL 2 OR NOT "${out}" STREQUAL "" OR "${error}" STREQUAL "")
    message(FATAL_ERROR "${PROGRAM} ${call}: ${code}\n${out}\n${error}")
  endif()
endforeach()
