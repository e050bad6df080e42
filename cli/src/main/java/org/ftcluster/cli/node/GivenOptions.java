package org.ftcluster.cli.node;

import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.ParseResult;

/** Options as a command was given them, to give them to another. */
final class GivenOptions {
  private GivenOptions() {}

  /**
   * Without defaults, which the other command has, too.
   *
   * @param except names of those that are left out
   */
  static List<String> of(ParseResult parsed, Set<String> except) {
    List<String> arguments = new ArrayList<>();
    for (OptionSpec option : parsed.matchedOptions()) {
      if (except.contains(option.longestName())) {
        continue;
      }
      if (option.arity().max() == 0) {
        arguments.add(option.longestName());
      } else {
        for (String value : option.originalStringValues()) {
          arguments.addAll(List.of(option.longestName(), value));
        }
      }
    }
    return arguments;
  }
}
