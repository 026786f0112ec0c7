// SPDX-License-Identifier: Apache-2.0
// Makes a message of ours and asks the linked library for its type support.
#include <iostream>

#include "meta_repo_ros/msg/setpoint.hpp"
#include "rosidl_typesupport_cpp/message_type_support.hpp"

int main()
{
  meta_repo_ros::msg::Setpoint setpoint;
  setpoint.source = meta_repo_ros::msg::Setpoint::SOURCE_OPERATOR;
  setpoint.rotor_speed.push_back(418.9);
  const auto * support =
    rosidl_typesupport_cpp::get_message_type_support_handle<meta_repo_ros::msg::Setpoint>();
  std::cout << meta_repo_ros::msg::to_yaml(setpoint);
  return support == nullptr ? 1 : 0;
}
