package org.ftcluster.protocol.job;

import java.util.Map;
import org.jspecify.annotations.Nullable;

/** {@code parallel: auto}, and what it stands for. */
final class Shorthands {
  private static final String SECTION = "parallel";
  private static final String AUTO = "auto";

  private Shorthands() {}

  static YamlNode.Mapping expand(YamlNode.Mapping root) {
    YamlNode.Entry entry = root.entries().get(SECTION);
    YamlNode.Mapping meant = entry == null ? null : meant(SECTION, entry.value());
    return meant == null ? root : root.with(SECTION, new YamlNode.Entry(entry.keyAt(), meant));
  }

  /** The section that a word stands for; null where it is none. */
  static YamlNode.@Nullable Mapping meant(String path, YamlNode value) {
    if (!path.equals(SECTION)
        || !(value instanceof YamlNode.Scalar scalar)
        || !scalar.text().equals(AUTO)) {
      return null;
    }
    YamlNode.Entry auto =
        new YamlNode.Entry(scalar.at(), new YamlNode.Scalar(scalar.at(), AUTO, true));
    return new YamlNode.Mapping(scalar.at(), Map.of("tensor", auto, "pipeline", auto));
  }
}
