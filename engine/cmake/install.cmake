# Installs what `find_package(carrel COMPONENTS …)` and `pkg-config carrel` find: the exported
# targets of every component that was built, and the files that describe them.
set(config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/carrel)

set(CARREL_COMPONENTS engine)
if(CARREL_SQL)
  list(APPEND CARREL_COMPONENTS sql)
endif()
if(CARREL_ZMQ)
  list(APPEND CARREL_COMPONENTS zmq)
endif()
if(TARGET carrel_conformance)
  list(APPEND CARREL_COMPONENTS conformance)
endif()
foreach(component ${CARREL_COMPONENTS})
  install(EXPORT carrel_${component} FILE carrel-${component}.cmake NAMESPACE carrel::
          DESTINATION ${config_dir} COMPONENT ${component})
endforeach()

configure_package_config_file(
  ${CMAKE_CURRENT_LIST_DIR}/carrelConfig.cmake.in ${PROJECT_BINARY_DIR}/cmake/carrelConfig.cmake
  INSTALL_DESTINATION ${config_dir}
  PATH_VARS CARREL_MODULE_DIR)
write_basic_package_version_file(
  ${PROJECT_BINARY_DIR}/cmake/carrelConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/cmake/carrelConfig.cmake
              ${PROJECT_BINARY_DIR}/cmake/carrelConfigVersion.cmake
        DESTINATION ${config_dir} COMPONENT engine)

# carrel.pc takes its prefix from where it is found, so that the tree can be moved.
file(RELATIVE_PATH CARREL_PC_TO_PREFIX
     ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
configure_file(${CMAKE_CURRENT_LIST_DIR}/carrel.pc.in ${PROJECT_BINARY_DIR}/cmake/carrel.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/cmake/carrel.pc
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT engine)
