package org.ftcluster.protocol.job;

import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Values given beside the file, as {@code key.path=value}; the value is YAML. */
final class Overrides {
  private Overrides() {}

  /** {@code root} with each of {@code sets} put in, the later ones over the earlier. */
  static YamlNode.Mapping apply(YamlNode.Mapping root, List<String> sets, Problems problems) {
    YamlNode.Mapping result = root;
    for (String set : sets) {
      Location at = new Location("--set " + set, 0);
      int equals = set.indexOf('=');
      if (equals < 1) {
        problems.add(at, "", "this is no key and value, such as training.seed=7");
        continue;
      }
      YamlNode value = value(set.substring(equals + 1), at, problems);
      if (value != null) {
        List<String> path = JobKeys.split(set.substring(0, equals).strip());
        result = put(result, path, "", value, at, problems);
      }
    }
    return result;
  }

  private static @Nullable YamlNode value(String text, Location at, Problems problems) {
    if (text.stripLeading().startsWith("#")) { // a template's heading, not a comment
      return new YamlNode.Scalar(at, text, false);
    }
    if (text.isBlank()) {
      return new YamlNode.Scalar(at, "", true);
    }
    return YamlParser.parse(text, line -> at, problems);
  }

  private static YamlNode.Mapping put(
      YamlNode.Mapping section,
      List<String> path,
      String above,
      YamlNode value,
      Location at,
      Problems problems) {
    String key = path.getFirst();
    if (path.size() == 1) {
      return section.with(key, new YamlNode.Entry(at, value));
    }
    String here = JobKeys.join(above, key);
    YamlNode.Entry entry = section.entries().get(key);
    YamlNode.Mapping below =
        switch (entry == null ? null : entry.value()) {
          case null -> new YamlNode.Mapping(at, Map.of());
          case YamlNode.Mapping mapping -> mapping;
          case YamlNode.Scalar scalar when scalar.isNull() -> new YamlNode.Mapping(at, Map.of());
          case YamlNode.Scalar scalar -> Shorthands.meant(here, scalar);
          case YamlNode.Sequence _ -> null;
        };
    if (below == null) {
      problems.add(at, here, "is no section, so nothing can be set below it");
      return section;
    }
    Location keyAt = entry == null ? at : entry.keyAt();
    YamlNode.Mapping changed = put(below, path.subList(1, path.size()), here, value, at, problems);
    return section.with(key, new YamlNode.Entry(keyAt, changed));
  }
}
