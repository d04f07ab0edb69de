import "../core/base.css";
