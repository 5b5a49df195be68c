# What `cmake --install` puts where: headers, libraries and the CMake package; and, for a Python
# package, which is such a prefix too, its binaries. No installed file holds a path of the build.
#   cmake --install build --prefix P                      all that C++ needs
#   cmake --install build --prefix P --component library  that without what a Python package lacks:
#                                                         the static library
#   cmake --install build --prefix P --component python   the Python module, for setup.py alone
include(CMakePackageConfigHelpers)
set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/Rope)
set(CMAKE_INSTALL_DEFAULT_COMPONENT_NAME library)

install(DIRECTORY kernels/include/rope DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/include/rope/version.h
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/rope)
install(TARGETS rope_kernels EXPORT RopeTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS rope_kernels_static EXPORT RopeStaticTargets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT standalone)

if(ROPE_TORCH)
  install(DIRECTORY csrc/include/rope DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
          FILES_MATCHING PATTERN "*.h")
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/include/rope/torch_version.h
          DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/rope)
  # rope::rope is the library, and keeps the linker from dropping it where a program uses none of
  # its symbols: loading it is what registers the operators. One option, so that nothing reorders it.
  add_library(rope_registered INTERFACE)
  add_library(rope::rope ALIAS rope_registered)
  set_target_properties(rope_registered PROPERTIES EXPORT_NAME rope)
  target_link_libraries(rope_registered INTERFACE rope)
  set(registered "-Wl,--push-state,--no-as-needed")
  target_link_options(rope_registered INTERFACE
    $<BUILD_INTERFACE:${registered},$<TARGET_FILE:rope>,--pop-state>
    $<INSTALL_INTERFACE:${registered},$<TARGET_FILE:rope::library>,--pop-state>)
  install(TARGETS rope rope_registered EXPORT RopeTargets
          LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(FILES cmake/RopeTorch.cmake DESTINATION ${package_folder})
endif()

if(ROPE_TORCH AND ROPE_PYTHON)
  configure_file(python/built.py.in _built.py @ONLY)
  install(TARGETS _C LIBRARY DESTINATION . COMPONENT python EXCLUDE_FROM_ALL)
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/_built.py DESTINATION .
          COMPONENT python EXCLUDE_FROM_ALL)
endif()

install(EXPORT RopeTargets NAMESPACE rope:: DESTINATION ${package_folder})
install(EXPORT RopeStaticTargets NAMESPACE rope:: DESTINATION ${package_folder} COMPONENT standalone)
configure_package_config_file(cmake/RopeConfig.cmake.in
  ${CMAKE_CURRENT_BINARY_DIR}/RopeConfig.cmake INSTALL_DESTINATION ${package_folder})
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/RopeConfigVersion.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/RopeConfig.cmake
              ${CMAKE_CURRENT_BINARY_DIR}/RopeConfigVersion.cmake
        DESTINATION ${package_folder})
install(FILES LICENSE LICENSE-THIRD-PARTY NOTICE
        DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/rope COMPONENT standalone)
