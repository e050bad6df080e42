package org.ftcluster.protocol.job;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Map;

/** Collects what is wrong with a job file, and finds the lines that it stands on. */
final class Problems {
  private record Found(Location at, Problem problem) {}

  private final List<Found> found = new ArrayList<>();
  private final Location file;
  private YamlNode.Mapping root;

  Problems(String source) {
    this.file = new Location(source, 0);
    this.root = new YamlNode.Mapping(file, Map.of());
  }

  /** The tree in which {@link #add(String, String)} finds its keys. */
  void root(YamlNode.Mapping tree) {
    root = tree;
  }

  void add(Location at, String key, String message) {
    found.add(new Found(at, new Problem(at.toString(), key, message)));
  }

  /** Adds a problem at the place where {@code key}, or the nearest section around it, stands. */
  void add(String key, String message) {
    add(locate(key), key, message);
  }

  /** Whether nothing is wrong with these keys, and the sections they are in. */
  boolean none(String... keys) {
    return found.stream().map(one -> one.problem().key()).noneMatch(bad -> covers(bad, keys));
  }

  private static boolean covers(String bad, String... keys) {
    return Arrays.stream(keys).anyMatch(key -> key.equals(bad) || key.startsWith(bad + "."));
  }

  void throwIfAny() {
    if (!found.isEmpty()) {
      // By line; what --set flags bring, and what has no line, stays in the order of discovery.
      throw new JobSpecException(
          found.stream()
              .sorted(Comparator.comparingInt(one -> one.at().line()))
              .map(Found::problem)
              .toList());
    }
  }

  private Location locate(String key) {
    YamlNode.Mapping section = root;
    Location at = file;
    for (String name : JobKeys.split(key)) {
      YamlNode.Entry entry = section.entries().get(name);
      if (entry == null) {
        return at;
      }
      at = entry.keyAt();
      if (!(entry.value() instanceof YamlNode.Mapping next)) {
        return at;
      }
      section = next;
    }
    return at;
  }
}
