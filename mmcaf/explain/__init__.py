"""What a trained network looks at: Grad-CAM, SHAP values, the KAN's curves, and a sanity check."""
