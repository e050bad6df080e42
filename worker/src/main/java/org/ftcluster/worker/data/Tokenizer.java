package org.ftcluster.worker.data;

import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import ai.djl.huggingface.tokenizers.jni.CharSpan;
import ai.djl.huggingface.tokenizers.jni.TokenizersLibrary;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import org.ftcluster.protocol.job.BadJobException;
import org.ftcluster.protocol.job.SampleSource;
import org.jspecify.annotations.Nullable;

/** Text to token ids and back, as the model's folder says. Any thread may use one. */
public final class Tokenizer implements AutoCloseable {
  private static final Map<String, String> AS_IS =
      Map.of("addSpecialTokens", "false", "truncation", "false", "padding", "false");

  private final Path modelFolder;
  private final int embeddings;
  private final HuggingFaceTokenizer tokenizer;
  private final Vocabulary vocabulary;
  private final SpecialTokens special;

  /**
   * A text's tokens, and where in it they are.
   *
   * @param from the first {@code char} of each
   * @param to the one after the last of each
   */
  record Encoding(int[] tokens, int[] from, int[] to) {}

  private Tokenizer(
      Path modelFolder,
      int embeddings,
      HuggingFaceTokenizer tokenizer,
      Vocabulary vocabulary,
      SpecialTokens special) {
    this.modelFolder = modelFolder;
    this.embeddings = embeddings;
    this.tokenizer = tokenizer;
    this.vocabulary = vocabulary;
    this.special = special;
  }

  /**
   * Reads {@code tokenizer.json} and the configurations beside it.
   *
   * @param embeddings rows of the model's embedding ({@code vocab_size})
   * @throws BadJobException when a file is missing or bad, or the tokenizer has ids that the model
   *     has no embedding for
   */
  public static Tokenizer open(Path modelFolder, int embeddings) {
    Path file = modelFolder.resolve("tokenizer.json");
    Vocabulary vocabulary = Vocabulary.read(file);
    if (vocabulary.size() > embeddings) {
      throw new BadJobException(
          "%s: has %d tokens, but the model's embedding only %d: it belongs to another model."
              .formatted(file, vocabulary.size(), embeddings));
    }
    SpecialTokens special = SpecialTokens.read(modelFolder, vocabulary);
    try (InputStream json = Files.newInputStream(file)) {
      return new Tokenizer(
          modelFolder,
          embeddings,
          HuggingFaceTokenizer.newInstance(json, AS_IS),
          vocabulary,
          special);
    } catch (IOException e) {
      throw new BadJobException("%s: this can't be read: %s.".formatted(file, e.getMessage()), e);
    } catch (RuntimeException e) { // what the native reader throws, its own words in the message
      throw new BadJobException("%s: this is no tokenizer: %s.".formatted(file, e.getMessage()), e);
    }
  }

  /** One more than the largest id of a token that isn't special. */
  public int size() {
    return vocabulary.size();
  }

  /** The first of some tokens that the model has no embedding for, as text. */
  public Optional<String> stranger(int[] tokens) {
    for (int token : tokens) {
      if (token >= embeddings) {
        return Optional.of(vocabulary.text(token));
      }
    }
    return Optional.empty();
  }

  /** What goes before a prompt; empty for models that begin with the text itself. */
  public OptionalInt bos() {
    return special.bos();
  }

  /** What ends a response. */
  public OptionalInt eos() {
    return special.eos();
  }

  /** Ids at which a generated text ends. */
  public Set<Integer> stops() {
    return special.stops();
  }

  /** The text's tokens, without any that begin or end a sample. */
  public int[] encode(String text) {
    // DJL's own encode() also fetches each token's text and place, which takes several times as
    // long.
    long encoding = TokenizersLibrary.LIB.encode(tokenizer.getHandle(), text, false);
    try {
      return tokens(encoding);
    } finally {
      TokenizersLibrary.LIB.deleteEncoding(encoding);
    }
  }

  private static int[] tokens(long encoding) {
    return Arrays.stream(TokenizersLibrary.LIB.getTokenIds(encoding))
        .mapToInt(Math::toIntExact)
        .toArray();
  }

  /** The same as {@link #encode}, and each token's place. */
  Encoding encodeWithPlaces(String text) {
    long encoding = TokenizersLibrary.LIB.encode(tokenizer.getHandle(), text, false);
    try {
      int[] tokens = tokens(encoding);
      CharSpan[] spans = TokenizersLibrary.LIB.getTokenCharSpans(encoding);
      int[] places = places(text);
      int[] from = new int[tokens.length];
      int[] to = new int[tokens.length];
      for (int i = 0; i < tokens.length; i++) {
        from[i] = places[spans[i].getStart()];
        to[i] = places[spans[i].getEnd()];
      }
      return new Encoding(tokens, from, to);
    } finally {
      TokenizersLibrary.LIB.deleteEncoding(encoding);
    }
  }

  /**
   * Where each code point of a text begins, by which the native library counts, and the text's end.
   */
  private static int[] places(String text) {
    int[] places = new int[text.codePointCount(0, text.length()) + 1];
    int at = 0;
    for (int i = 0; i < places.length; i++) {
      places[i] = at;
      at += at < text.length() ? Character.charCount(text.codePointAt(at)) : 0;
    }
    return places;
  }

  /**
   * How conversations are written.
   *
   * @param own a file with a template to use instead of the model's; null for that
   * @param kwargs what the template is told besides, as {@link SampleSource} has it
   * @throws BadJobException when there is none, or it can't be read
   */
  public ChatTemplate chatTemplate(@Nullable Path own, Map<String, Object> kwargs) {
    return ChatTemplate.read(modelFolder, own, kwargs, vocabulary.specialTokens());
  }

  /** The text's tokens after {@link #bos}: what a model goes on from. */
  public int[] encodePrompt(String text) {
    int[] tokens = encode(text);
    if (bos().isEmpty()) {
      return tokens;
    }
    int[] prompt = new int[tokens.length + 1];
    prompt[0] = bos().getAsInt();
    System.arraycopy(tokens, 0, prompt, 1, tokens.length);
    return prompt;
  }

  /** The text of some tokens; special ones are left out. */
  public String decode(int[] tokens) {
    return tokenizer.decode(Arrays.stream(tokens).asLongStream().toArray(), true);
  }

  @Override
  public void close() {
    tokenizer.close();
  }
}
