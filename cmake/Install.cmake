# What `cmake --install` puts where; a Python package is such a prefix too.
install(DIRECTORY kernels/include/rope DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/include/rope/version.h
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/rope)
if(ROPE_TORCH)
  install(DIRECTORY csrc/include/rope DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
          FILES_MATCHING PATTERN "*.h")
  install(TARGETS rope LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()
