/** Files that survive a crash. */
@NullMarked
package org.ftcluster.protocol.file;

import org.jspecify.annotations.NullMarked;
