package org.ftcluster.protocol.job;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** A piece of YAML that knows where it was written. */
sealed interface YamlNode {
  Location at();

  /** How a message speaks of it. */
  String describe();

  /** Keys with their values, in the order of the file. */
  record Mapping(Location at, Map<String, Entry> entries) implements YamlNode {
    public Mapping {
      entries = Collections.unmodifiableMap(new LinkedHashMap<>(entries));
    }

    /** This mapping with one key set. */
    Mapping with(String key, Entry entry) {
      Map<String, Entry> changed = new LinkedHashMap<>(entries);
      changed.put(key, entry);
      return new Mapping(at, changed);
    }

    @Override
    public String describe() {
      return "a mapping";
    }
  }

  /** A key's place and its value. */
  record Entry(Location keyAt, YamlNode value) {}

  record Sequence(Location at, List<YamlNode> items) implements YamlNode {
    @Override
    public String describe() {
      return "a list";
    }
  }

  /**
   * A single value.
   *
   * @param plain written without quotes, so that {@code 3} is a number and {@code true} a truth
   */
  record Scalar(Location at, String text, boolean plain) implements YamlNode {
    private static final int SHOWN = 60;

    /** Nothing written: as good as leaving the key out. */
    boolean isNull() {
      return plain && (text.isEmpty() || text.equals("~") || text.equalsIgnoreCase("null"));
    }

    @Override
    public String describe() {
      String shown = text.length() > SHOWN ? text.substring(0, SHOWN) + "..." : text;
      shown = shown.replace("\n", "\\n");
      return plain ? shown : '"' + shown + '"';
    }
  }
}
