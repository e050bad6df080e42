package org.ftcluster.worker.data;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashSet;
import java.util.OptionalInt;
import java.util.Set;
import org.ftcluster.protocol.job.BadJobException;

/**
 * The tokens that begin and end a sample.
 *
 * <p>{@code tokenizer_config.json} decides: a {@code bos_token} that it doesn't name, or that it
 * says not to add ({@code add_bos_token: false}), is not put before a prompt, even where {@code
 * config.json} has an id for one. Without a {@code tokenizer_config.json} the ids in {@code
 * config.json} count.
 *
 * @param stops ids at which a generated text ends: {@code eos}, and those in {@code
 *     generation_config.json}
 */
record SpecialTokens(OptionalInt bos, OptionalInt eos, Set<Integer> stops) {
  static SpecialTokens read(Path folder, Vocabulary vocabulary) {
    Path tokenizerConfig = folder.resolve("tokenizer_config.json");
    JsonNode config = JsonFiles.readIfThere(folder.resolve("config.json"));
    OptionalInt bos;
    OptionalInt eos;
    if (Files.exists(tokenizerConfig)) {
      JsonNode tokenizer = JsonFiles.readIfThere(tokenizerConfig);
      bos =
          tokenizer.path("add_bos_token").asBoolean(true)
              ? named(tokenizerConfig, tokenizer, "bos_token", vocabulary)
              : OptionalInt.empty();
      eos = named(tokenizerConfig, tokenizer, "eos_token", vocabulary);
    } else {
      bos = first(config.path("bos_token_id"));
      eos = first(config.path("eos_token_id"));
    }
    Set<Integer> stops = new LinkedHashSet<>();
    eos.ifPresent(stops::add);
    JsonNode generation = JsonFiles.readIfThere(folder.resolve("generation_config.json"));
    addIds(generation.path("eos_token_id"), stops);
    return new SpecialTokens(bos, eos, Set.copyOf(stops));
  }

  /** The token of a configuration's key. */
  private static OptionalInt named(Path file, JsonNode config, String key, Vocabulary vocabulary) {
    String text = text(config.path(key));
    if (text.isEmpty()) {
      return OptionalInt.empty();
    }
    OptionalInt id = vocabulary.id(text);
    if (id.isEmpty()) {
      throw new BadJobException(
          "%s: its %s is %s, which tokenizer.json does not have.".formatted(file, key, text));
    }
    return id;
  }

  /** A token's text, which stands there alone or as the content of an object; empty for none. */
  static String text(JsonNode token) {
    JsonNode text = token.isObject() ? token.path("content") : token;
    return text.isTextual() ? text.textValue() : "";
  }

  private static OptionalInt first(JsonNode ids) {
    Set<Integer> all = new LinkedHashSet<>();
    addIds(ids, all);
    return all.stream().mapToInt(Integer::intValue).findFirst();
  }

  private static void addIds(JsonNode ids, Set<Integer> to) {
    if (ids.isIntegralNumber()) {
      to.add(ids.intValue());
    }
    ids.elements().forEachRemaining(id -> to.add(id.intValue()));
  }
}
