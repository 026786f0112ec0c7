# SPDX-License-Identifier: Apache-2.0
#
# The PyPI wheels export include directories of the machine they were built on; CMake refuses an
# imported target whose include directory does not exist.
foreach(_package IN ITEMS
    action_msgs builtin_interfaces geometry_msgs meta_repo_ros service_msgs std_msgs
    unique_identifier_msgs)
  set(_target ${_package}::${_package}__rosidl_generator_py)
  if(TARGET ${_target})
    get_target_property(_directories ${_target} INTERFACE_INCLUDE_DIRECTORIES)
    set(_existing "")
    foreach(_directory IN LISTS _directories)
      if(_directory MATCHES "^\\$<" OR EXISTS "${_directory}")
        list(APPEND _existing "${_directory}")
      endif()
    endforeach()
    set_target_properties(${_target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${_existing}")
  endif()
endforeach()
