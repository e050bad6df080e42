package org.ftcluster.protocol.job;

import java.io.StringReader;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.function.IntFunction;
import org.jspecify.annotations.Nullable;
import org.yaml.snakeyaml.DumperOptions.ScalarStyle;
import org.yaml.snakeyaml.LoaderOptions;
import org.yaml.snakeyaml.composer.Composer;
import org.yaml.snakeyaml.error.MarkedYAMLException;
import org.yaml.snakeyaml.error.YAMLException;
import org.yaml.snakeyaml.nodes.MappingNode;
import org.yaml.snakeyaml.nodes.Node;
import org.yaml.snakeyaml.nodes.NodeTuple;
import org.yaml.snakeyaml.nodes.ScalarNode;
import org.yaml.snakeyaml.nodes.SequenceNode;
import org.yaml.snakeyaml.parser.ParserImpl;
import org.yaml.snakeyaml.reader.StreamReader;
import org.yaml.snakeyaml.resolver.Resolver;

/** Turns YAML text into {@link YamlNode}s; no type is guessed, and no object made. */
final class YamlParser {
  private final Problems problems;
  private final IntFunction<Location> locations;
  private final Set<Node> seen = Collections.newSetFromMap(new IdentityHashMap<>());

  private YamlParser(Problems problems, IntFunction<Location> locations) {
    this.problems = problems;
    this.locations = locations;
  }

  /**
   * The document in {@code yaml}, or null where there is none or it can't be read; then {@code
   * problems} says why.
   *
   * @param locations gives the place of a line, counted from 1
   */
  static @Nullable YamlNode parse(String yaml, IntFunction<Location> locations, Problems problems) {
    LoaderOptions options = new LoaderOptions();
    Composer composer =
        new Composer(
            new ParserImpl(new StreamReader(new StringReader(yaml)), options),
            new Resolver(),
            options);
    try {
      Node root = composer.getSingleNode();
      YamlParser parser = new YamlParser(problems, locations);
      return root == null ? null : parser.convert(root, "", parser.location(root));
    } catch (MarkedYAMLException e) {
      int line = e.getProblemMark() == null ? 0 : e.getProblemMark().getLine() + 1;
      problems.add(
          locations.apply(line), "", "this is not valid YAML: %s".formatted(e.getProblem()));
    } catch (YAMLException e) {
      problems.add(locations.apply(0), "", "this is not valid YAML: %s".formatted(e.getMessage()));
    }
    return null;
  }

  private YamlNode convert(Node node, String path, Location keyAt) {
    Location at = location(node);
    // An alias (*name) gives the same node once more. A job file has no use for shared sections,
    // which can hold themselves, or unfold to gigabytes.
    if (!(node instanceof ScalarNode) && !seen.add(node)) {
      problems.add(
          keyAt, path, "is an alias of what stands on line %d; write it out".formatted(at.line()));
      return new YamlNode.Scalar(at, "", true);
    }
    return switch (node) {
      case MappingNode mapping -> mapping(mapping, at, path);
      case SequenceNode sequence ->
          new YamlNode.Sequence(
              at, sequence.getValue().stream().map(item -> convert(item, path, keyAt)).toList());
      case ScalarNode scalar ->
          new YamlNode.Scalar(at, scalar.getValue(), scalar.getScalarStyle() == ScalarStyle.PLAIN);
      // Node is open to subclasses, but a composer makes only the three.
      default -> throw new IllegalStateException("a YAML node of " + node.getClass());
    };
  }

  private YamlNode mapping(MappingNode node, Location at, String path) {
    Map<String, YamlNode.Entry> entries = new LinkedHashMap<>();
    for (NodeTuple tuple : node.getValue()) {
      Location keyAt = location(tuple.getKeyNode());
      if (!(tuple.getKeyNode() instanceof ScalarNode key)) {
        problems.add(keyAt, path, "has a key that is no word");
        continue;
      }
      String keyPath = JobKeys.join(path, key.getValue());
      YamlNode.Entry entry =
          new YamlNode.Entry(keyAt, convert(tuple.getValueNode(), keyPath, keyAt));
      YamlNode.Entry first = entries.putIfAbsent(key.getValue(), entry);
      if (first != null) {
        problems.add(
            keyAt,
            keyPath,
            "is there twice, first on line %d; leave one".formatted(first.keyAt().line()));
      }
    }
    return new YamlNode.Mapping(at, entries);
  }

  private Location location(Node node) {
    return locations.apply(node.getStartMark().getLine() + 1);
  }
}
